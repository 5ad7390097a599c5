with judged as (
  select *,
         value <> '1' and coalesce((try_cast(value as bigint) & 72) = 0, false) as good
  from host_kernel_setting
  where name = 'kernel.sysrq'
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': anybody at the console can dump memory or kill programs.' end as reason,
       account_id, region, name
from judged
