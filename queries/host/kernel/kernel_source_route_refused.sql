with judged as (
  select *,
         value = '0' or value = '-1' as good
  from host_kernel_setting
  where name in (
    'net.ipv4.conf.all.accept_source_route',
    'net.ipv4.conf.default.accept_source_route',
    'net.ipv6.conf.all.accept_source_route',
    'net.ipv6.conf.default.accept_source_route'
  )
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': senders may choose the route.' end as reason,
       account_id, region, name
from judged
