with logs as (
  select account_id, region, resource_id, flow_log_id,
         case when flow_log_status <> 'ACTIVE' then 'is ' || flow_log_status
              when $delivery_must_work and deliver_logs_status = 'FAILED'
              then 'cannot be delivered' || coalesce(' (' || deliver_logs_error_message || ')', '')
              when traffic_type is not null and not array_has($traffic_types, traffic_type)
              then 'records ' || traffic_type || ' only'
         end as fault
  from aws_vpc_flow_log
),
vpcs as (
  select account_id, region, resource_id,
         string_agg(flow_log_id, ', ' order by flow_log_id) filter (where fault is null) as working,
         string_agg(flow_log_id || ' ' || fault, ', ' order by flow_log_id) as faults
  from logs
  group by account_id, region, resource_id
)
select vpc.arn as resource,
       case when vpc.owner_id <> vpc.account_id then 'skip'
            when vpcs.working is not null then 'ok'
            else 'alarm' end as status,
       vpc.vpc_id
       || case when vpc.owner_id <> vpc.account_id then ' is shared by account ' || vpc.owner_id || '.'
               when vpcs.working is not null then ' is logged by ' || vpcs.working || '.'
               when vpcs.faults is not null then ' is not logged: ' || vpcs.faults || '.'
               else ' has no flow log.' end as reason,
       vpc.account_id, vpc.region
from aws_vpc vpc
left join vpcs
  on vpcs.account_id = vpc.account_id and vpcs.region = vpc.region and vpcs.resource_id = vpc.vpc_id
