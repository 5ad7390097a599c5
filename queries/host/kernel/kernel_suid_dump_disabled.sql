with judged as (
  select *,
         value in ('0', '2') as good
  from host_kernel_setting
  where name = 'fs.suid_dumpable'
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': the memory of privileged programs is dumped for their users.' end as reason,
       account_id, region, name
from judged
