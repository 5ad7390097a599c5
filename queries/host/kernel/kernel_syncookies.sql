with judged as (
  select *,
         value in ('1', '2') as good
  from host_kernel_setting
  where name = 'net.ipv4.tcp_syncookies'
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': a flood of half-open connections keeps others out.' end as reason,
       account_id, region, name
from judged
