select arn as resource,
       case when value is null then 'skip' when value in ('1', '2') then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when value in ('1', '2') then name || ' is ' || value || '.'
            else name || ' is ' || value || ': a flood of half-open connections keeps others out.' end as reason,
       account_id, region, name
from host_kernel_setting
where name = 'net.ipv4.tcp_syncookies'
