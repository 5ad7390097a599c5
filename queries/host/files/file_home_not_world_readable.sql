with judged as (
  select *,
         not world_readable and not world_writable and not group_writable as good
  from host_file
  where category = 'home'
    and (present is null or present)
)
select arn as resource,
       case when mode_bits is null then 'skip' when good then 'ok' else 'alarm' end as status,
       path
       || case when mode_bits is null then ' cannot be looked at by this user.'
               else ' has the mode ' || mode || ' and belongs to '
                    || coalesce(owner, cast(uid as text)) || ':' || coalesce(group_name, cast(gid as text))
                    || case when good then '.' else '; others should not read it, and only its owner should write it.' end
          end as reason,
       account_id, region, path
from judged
