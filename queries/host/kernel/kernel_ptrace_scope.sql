with judged as (
  select *,
         value in ('1', '2', '3') as good
  from host_kernel_setting
  where name = 'kernel.yama.ptrace_scope'
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': any program can read the memory of others of the same user.' end as reason,
       account_id, region, name
from judged
