-- Network and gateway load balancers know no answers, so they have no errors of their own.
with balancers as (
  select arn, name, error_rate, account_id, region from aws_ec2_application_load_balancer
  union all
  select arn, name, error_rate, account_id, region from aws_ec2_classic_load_balancer
)
select arn as resource,
       case when error_rate is null then 'skip' when error_rate > $errors then 'alarm' else 'ok' end as status,
       coalesce(name, arn)
       || case when error_rate is null then ': its errors were not collected.'
               when error_rate = 0 then ' gave no answers with 5XX by itself in the last thirty days.'
               else ' gave ' || error_rate || case error_rate when 1 then ' answer' else ' answers' end
                    || ' with 5XX by itself in the last thirty days.' end as reason,
       account_id, region
from balancers
