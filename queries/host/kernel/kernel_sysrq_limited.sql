select arn as resource,
       case when value is null then 'skip' when (value <> '1' and coalesce((try_cast(value as bigint) & 72) = 0, false)) then 'ok' else 'alarm' end as status,
       case when value is null then name || ' cannot be read by this user.'
            when (value <> '1' and coalesce((try_cast(value as bigint) & 72) = 0, false)) then name || ' is ' || value || '.'
            else name || ' is ' || value || ': anybody at the console can dump memory or kill programs.' end as reason,
       account_id, region, name
from host_kernel_setting
where name = 'kernel.sysrq'
