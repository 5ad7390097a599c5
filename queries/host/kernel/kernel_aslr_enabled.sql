with judged as (
  select *,
         value = '2' as good
  from host_kernel_setting
  where name = 'kernel.randomize_va_space'
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': not all of the address space of programs is random.' end as reason,
       account_id, region, name
from judged
