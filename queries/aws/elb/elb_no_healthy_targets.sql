-- `aws_ec2_target_group_target` is empty where `hydrate` does not name it: an account of which no target at all is known
-- is skipped. `initial` and `Unknown` pass, and of `unavailable` nobody knows since nothing is checked.
with balancers as (
  select arn, name, account_id, region from aws_ec2_application_load_balancer
  union all
  select arn, name, account_id, region from aws_ec2_network_load_balancer
  union all
  select arn, name, account_id, region from aws_ec2_gateway_load_balancer
),
links as (
  select account_id, region, target_group_arn, unnest(load_balancer_arns) as arn from aws_ec2_target_group
),
collected as (
  select account_id, count(*) as targets from aws_ec2_target_group_target group by account_id
),
counts as (
  select b.arn, b.name, b.account_id, b.region,
         count(distinct l.target_group_arn) as groups,
         count(t.target_id) as targets,
         count(t.target_id) filter (where t.state = 'healthy') as healthy,
         count(t.target_id) filter (where coalesce(t.state, 'unavailable') in ('initial', 'unavailable')) as unsure,
         max(coalesce(c.targets, 0)) as collected,
         'targets' as what
  from balancers b
  left join links l on l.account_id = b.account_id and l.region = b.region and l.arn = b.arn
  left join aws_ec2_target_group_target t
    on t.account_id = l.account_id and t.region = l.region and t.target_group_arn = l.target_group_arn
  left join collected c on c.account_id = b.account_id
  group by b.arn, b.name, b.account_id, b.region
  union all
  select b.arn, b.name, b.account_id, b.region,
         1 as groups,
         count(i.instance_id) as targets,
         count(i.instance_id) filter (where i.state = 'InService') as healthy,
         count(i.instance_id) filter (where coalesce(i.state, 'Unknown') = 'Unknown') as unsure,
         1 as collected,
         'instances' as what
  from aws_ec2_classic_load_balancer b
  left join aws_ec2_classic_load_balancer_instance i
    on i.account_id = b.account_id and i.region = b.region and i.load_balancer_name = b.name
  group by b.arn, b.name, b.account_id, b.region
)
select arn as resource,
       case when groups = 0 or collected = 0 then 'skip'
            when healthy > 0 then 'ok'
            when unsure > 0 then 'skip'
            else 'alarm' end as status,
       coalesce(name, arn)
       || case when groups = 0 then ' has no target groups; its listeners answer by themselves, if at all.'
               when collected = 0 then ': the health of its targets was not collected.'
               when targets = 0 then ' has no ' || what || '.'
               when healthy = 0 and unsure > 0
               then ' has 0 of ' || targets || ' ' || what || ' healthy so far; the health of ' || unsure || ' is not known.'
               else ' has ' || healthy || ' of ' || targets || ' ' || what || ' healthy.' end as reason,
       account_id, region
from counts
