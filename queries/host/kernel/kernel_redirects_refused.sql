select arn as resource,
       case when value is null then 'skip' when value = '0' then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when value = '0' then name || ' is ' || value || '.'
            else name || ' is ' || value || ': routes can be changed by strangers.' end as reason,
       account_id, region, name
from host_kernel_setting
where name in (
  'net.ipv4.conf.all.accept_redirects',
  'net.ipv4.conf.default.accept_redirects',
  'net.ipv4.conf.all.send_redirects',
  'net.ipv4.conf.default.send_redirects',
  'net.ipv6.conf.all.accept_redirects',
  'net.ipv6.conf.default.accept_redirects'
)
