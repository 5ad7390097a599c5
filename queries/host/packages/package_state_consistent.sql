select arn as resource,
       case when installed or status like '% config-files' or status like '% not-installed' then 'ok'
            else 'alarm' end as status,
       'The state of the package ' || name || ' is `' || status || '`.' as reason,
       account_id, region, name, architecture
from host_package
