with judged as (
  select *,
         (sticky or not world_writable) and uid = 0 as good
  from host_file
  where category = 'temporary'
    and (present is null or present)
)
select arn as resource,
       case when mode_bits is null then 'skip' when good then 'ok' else 'alarm' end as status,
       path
       || case when mode_bits is null then ' cannot be looked at by this user.'
               else ' has the mode ' || mode || ' and belongs to '
                    || coalesce(owner, cast(uid as text)) || ':' || coalesce(group_name, cast(gid as text))
                    || case when good then '.' else '; it should have the sticky bit and belong to root.' end
          end as reason,
       account_id, region, path
from judged
