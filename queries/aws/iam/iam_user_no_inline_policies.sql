select arn as resource,
       case when inline_policy_names is null then 'skip'
            when array_length(inline_policy_names) > 0 then 'alarm'
            else 'ok' end as status,
       case when inline_policy_names is null then 'The inline policies of ' || name || ' could not be read.'
            when array_length(inline_policy_names) > 0
              then name || ' has inline policies: ' || array_to_string(inline_policy_names, ', ') || '.'
            else name || ' has no inline policy.' end as reason,
       account_id, region
from aws_iam_user
