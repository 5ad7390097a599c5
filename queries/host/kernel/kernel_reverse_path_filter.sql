select arn as resource,
       case when value is null then 'skip' when value in ('1', '2') then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when value in ('1', '2') then name || ' is ' || value || '.'
            else name || ' is ' || value || ': the source of packets is not checked.' end as reason,
       account_id, region, name
from host_kernel_setting
where name in (
  'net.ipv4.conf.all.rp_filter',
  'net.ipv4.conf.default.rp_filter'
)
