-- 3679: every bit but those of 0640.
-- 3602: every bit but those of 0755.
with judged as (
  select *,
         (mode_bits & case when kind = 'directory' then 3602 else 3679 end) = 0 and uid = 0 as good
  from host_file
  where path like '/etc/sudoers%'
    and (present is null or present)
)
select arn as resource,
       case when mode_bits is null then 'skip' when good then 'ok' else 'alarm' end as status,
       path
       || case when mode_bits is null then ' cannot be looked at by this user.'
               else ' has the mode ' || mode || ' and belongs to '
                    || coalesce(owner, cast(uid as text)) || ':' || coalesce(group_name, cast(gid as text))
                    || case when good then '.' else '; it should be at most 0440 (0755 for a directory) and belong to root.' end
          end as reason,
       account_id, region, path
from judged
