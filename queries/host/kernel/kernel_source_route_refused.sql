select arn as resource,
       case when value is null then 'skip' when (value = '0' or value = '-1') then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when (value = '0' or value = '-1') then name || ' is ' || value || '.'
            else name || ' is ' || value || ': senders may choose the route.' end as reason,
       account_id, region, name
from host_kernel_setting
where name in (
  'net.ipv4.conf.all.accept_source_route',
  'net.ipv4.conf.default.accept_source_route',
  'net.ipv6.conf.all.accept_source_route',
  'net.ipv6.conf.default.accept_source_route'
)
