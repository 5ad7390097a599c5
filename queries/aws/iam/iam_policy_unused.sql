select arn as resource,
       case when attachment_count is null then 'skip'
            when permissions_boundary_usage_count > 0 then 'ok'
            when attachment_count <= $attachments then 'alarm'
            else 'ok' end as status,
       coalesce(name, arn)
       || case when attachment_count is null then ' was not reported on, to how many it is attached.'
               when permissions_boundary_usage_count > 0 then ' is the permissions boundary of '
                    || permissions_boundary_usage_count || '.'
               when attachment_count = 0 then ' is attached to no user, group or role.'
               else ' is attached to ' || attachment_count
                    || case when attachment_count <= $attachments then ', which is not more than ' || $attachments || '.' else '.' end
               end as reason,
       account_id, region
from aws_iam_policy
where not is_aws_managed
