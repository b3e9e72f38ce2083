#!/usr/bin/env node
"use strict";

const cdk = require("aws-cdk-lib");
const ec2 = require("aws-cdk-lib/aws-ec2");
const ecs = require("aws-cdk-lib/aws-ecs");
const elb = require("aws-cdk-lib/aws-elasticloadbalancingv2");

/** A VPC in two zones and a web service in its private subnets behind an internet-facing load balancer. */
class WebStack extends cdk.Stack {
  constructor(scope, id, props) {
    super(scope, id, props);

    const vpc = new ec2.Vpc(this, "Vpc", {
      ipAddresses: ec2.IpAddresses.cidr("10.40.0.0/16"),
      maxAzs: 2,
      natGateways: 1,
    });
    const cluster = new ecs.Cluster(this, "Cluster", { vpc });

    const task = new ecs.FargateTaskDefinition(this, "Task");
    task.addContainer("web", {
      image: ecs.ContainerImage.fromRegistry("example/web:1"),
      portMappings: [{ containerPort: 80 }],
      logging: ecs.LogDrivers.awsLogs({ streamPrefix: "web" }),
    });
    const service = new ecs.FargateService(this, "Service", {
      cluster,
      taskDefinition: task,
      // `cdk deploy -c count=3` is the change that the example's walk through deploy → diff → deploy makes.
      desiredCount: Number(this.node.tryGetContext("count") ?? 2),
      minHealthyPercent: 100,
    });

    const balancer = new elb.ApplicationLoadBalancer(this, "Balancer", { vpc, internetFacing: true });
    balancer.addListener("Http", { port: 80 }).addTargets("Web", {
      port: 80,
      targets: [service],
      deregistrationDelay: cdk.Duration.seconds(5),
      healthCheck: { interval: cdk.Duration.seconds(5), timeout: cdk.Duration.seconds(2), healthyThresholdCount: 2 },
    });

    new cdk.CfnOutput(this, "Url", { value: `http://${balancer.loadBalancerDnsName}` });
  }
}

new WebStack(new cdk.App(), "ecsnet-web");
