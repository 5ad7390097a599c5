select arn as resource,
       case when value is null then 'skip' when (value = '0' or $allow) then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when (value = '0' or $allow) then name || ' is ' || value || '.'
            else name || ' is ' || value || ': packets for others are forwarded.' end as reason,
       account_id, region, name
from host_kernel_setting
where name in (
  'net.ipv4.ip_forward',
  'net.ipv6.conf.all.forwarding'
)
