with judged as (
  select *,
         not world_writable and not group_writable and (uid = 0 or account is null or owner = account) as good
  from host_file
  where category in ('ssh_authorized_keys', 'ssh_directory')
    and (present is null or present)
)
select arn as resource,
       case when mode_bits is null then 'skip' when good then 'ok' else 'alarm' end as status,
       path
       || case when mode_bits is null then ' cannot be looked at by this user.'
               else ' has the mode ' || mode || ' and belongs to '
                    || coalesce(owner, cast(uid as text)) || ':' || coalesce(group_name, cast(gid as text))
                    || case when good then '.' else '; only its user should own and write it.' end
          end as reason,
       account_id, region, path
from judged
