select arn as resource,
       case when performance_mode = 'maxIO' or percent_io_limit is null then 'skip'
            when percent_io_limit >= $percent then 'alarm'
            else 'ok' end as status,
       file_system_id || coalesce(' (' || nullif(name, '') || ')', '')
       || case when performance_mode = 'maxIO' then ' is in the mode maxIO, which has no such limit.'
               when percent_io_limit is null then ' has no measurements of its I/O, or they were not collected.'
               else ' reached ' || percent_io_limit || ' % of its I/O limit in the last seven days.' end as reason,
       account_id, region
from aws_efs_file_system
where coalesce(life_cycle_state, '') not in ('deleting', 'deleted')
