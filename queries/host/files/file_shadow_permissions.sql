-- 3679: every bit but those of 0640.
-- 32: readable by the group.
with judged as (
  select *,
         (mode_bits & 3679) = 0 and uid = 0 and (gid = 0 or group_name = 'shadow' or (mode_bits & 32) = 0) as good
  from host_file
  where category = 'password_database'
    and (present is null or present)
)
select arn as resource,
       case when mode_bits is null then 'skip' when good then 'ok' else 'alarm' end as status,
       path
       || case when mode_bits is null then ' cannot be looked at by this user.'
               else ' has the mode ' || mode || ' and belongs to '
                    || coalesce(owner, cast(uid as text)) || ':' || coalesce(group_name, cast(gid as text))
                    || case when good then '.' else '; it should be at most 0640 and belong to root:shadow.' end
          end as reason,
       account_id, region, path
from judged
