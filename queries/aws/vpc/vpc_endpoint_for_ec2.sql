with endpoints as (
  select account_id, region, vpc_id,
         string_agg(vpc_endpoint_id, ', ' order by vpc_endpoint_id)
           filter (where coalesce(lower(state), 'available') = 'available') as available,
         string_agg(vpc_endpoint_id || ' is ' || state, ', ' order by vpc_endpoint_id) as others
  from aws_vpc_endpoint
  where vpc_endpoint_type = 'Interface'
    and service_name in ('com.amazonaws.' || region || '.ec2', 'cn.com.amazonaws.' || region || '.ec2')
  group by account_id, region, vpc_id
)
select vpc.arn as resource,
       case when vpc.owner_id <> vpc.account_id then 'skip'
            when endpoints.available is not null then 'ok'
            else 'alarm' end as status,
       vpc.vpc_id
       || case when vpc.owner_id <> vpc.account_id then ' is shared by account ' || vpc.owner_id || '.'
               when endpoints.available is not null then ' reaches the API of EC2 by ' || endpoints.available || '.'
               when endpoints.others is not null then ' has no endpoint for EC2 that works: ' || endpoints.others || '.'
               else ' has no interface endpoint for EC2.' end as reason,
       vpc.account_id, vpc.region
from aws_vpc vpc
left join endpoints
  on endpoints.account_id = vpc.account_id and endpoints.region = vpc.region and endpoints.vpc_id = vpc.vpc_id
