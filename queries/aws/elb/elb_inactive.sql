-- Classic load balancers have no state: elb_low_requests looks at those.
with balancers as (
  select arn, name, state_code, state_reason, created_time, request_count as uses, 'requests' as what, account_id, region
  from aws_ec2_application_load_balancer
  union all
  select arn, name, state_code, state_reason, created_time, new_flow_count, 'connections', account_id, region
  from aws_ec2_network_load_balancer
  union all
  select arn, name, state_code, state_reason, created_time, new_flow_count, 'connections', account_id, region
  from aws_ec2_gateway_load_balancer
)
select arn as resource,
       case when state_code = 'failed' then 'alarm'
            when coalesce(state_code, '') not in ('active', 'active_impaired') or uses is null then 'skip'
            when uses > $requests then 'ok'
            when created_time > now() - cast($min_days || ' days' as interval) then 'skip'
            else 'alarm' end as status,
       coalesce(name, arn)
       || case when state_code = 'failed' then ' has failed' || coalesce(': ' || rtrim(state_reason, '.'), '') || '.'
               when coalesce(state_code, '') not in ('active', 'active_impaired')
               then ' is not active; its state is ' || coalesce(state_code, 'unknown') || '.'
               when uses is null then ': its ' || what || ' were not collected.'
               when uses <= $requests and created_time > now() - cast($min_days || ' days' as interval)
               then ' is too new to be judged; it was made on ' || to_char(created_time, '%Y-%m-%d') || '.'
               when uses = 0 then ' had no ' || what || ' in the last thirty days.'
               else ' had ' || uses || ' ' || case uses when 1 then rtrim(what, 's') else what end || ' in the last thirty days.' end as reason,
       account_id, region
from balancers
