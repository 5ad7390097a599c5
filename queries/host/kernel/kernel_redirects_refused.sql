with judged as (
  select *,
         value = '0' as good
  from host_kernel_setting
  where name in (
    'net.ipv4.conf.all.accept_redirects',
    'net.ipv4.conf.default.accept_redirects',
    'net.ipv4.conf.all.send_redirects',
    'net.ipv4.conf.default.send_redirects',
    'net.ipv6.conf.all.accept_redirects',
    'net.ipv6.conf.default.accept_redirects'
  )
)
select arn as resource,
       case when value is null then 'skip' when good then 'ok' else 'alarm' end as status,
       name
       || case when value is null then ' cannot be read by this user.'
               when good then ' is ' || value || '.'
               else ' is ' || value || ': redirects are taken or sent.' end as reason,
       account_id, region, name
from judged
