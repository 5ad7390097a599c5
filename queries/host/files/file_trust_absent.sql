select arn as resource,
       case when present is null then 'skip'
            when present and coalesce(size_bytes, 1) > 0 then 'alarm'
            else 'ok' end as status,
       path || case when present is null then ' cannot be looked at by this user.'
                    when not present then ' does not exist, as it should.'
                    when size_bytes = 0 then ' is empty.'
                    else ' exists.' end as reason,
       account_id, region, path
from host_file
where category = 'trust' or path = '/etc/ld.so.preload'
