with judged as (
  select *,
         value in ('1', '2') as good
  from host_kernel_setting
  where name in (
    'fs.protected_hardlinks',
    'fs.protected_symlinks',
    'fs.protected_fifos',
    'fs.protected_regular'
  )
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': files that others plant in shared directories are followed.' end as reason,
       account_id, region, name
from judged
