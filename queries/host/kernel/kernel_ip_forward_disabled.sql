with judged as (
  select *,
         value = '0' or $allow as good
  from host_kernel_setting
  where name in (
    'net.ipv4.ip_forward',
    'net.ipv6.conf.all.forwarding'
  )
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': packets for others are forwarded.' end as reason,
       account_id, region, name
from judged
