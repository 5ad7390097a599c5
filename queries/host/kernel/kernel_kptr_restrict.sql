with judged as (
  select *,
         value in ('1', '2') as good
  from host_kernel_setting
  where name = 'kernel.kptr_restrict'
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': everybody can read addresses of the kernel.' end as reason,
       account_id, region, name
from judged
