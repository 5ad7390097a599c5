select arn as resource,
       case when value is null then 'skip' when value = '1' then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when value = '1' then name || ' is ' || value || '.'
            else name || ' is ' || value || ': everybody can read the log of the kernel.' end as reason,
       account_id, region, name
from host_kernel_setting
where name = 'kernel.dmesg_restrict'
