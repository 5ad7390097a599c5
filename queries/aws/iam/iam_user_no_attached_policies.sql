select arn as resource,
       case when attached_policy_arns is null then 'skip'
            when array_length(attached_policy_arns) > 0 then 'alarm'
            else 'ok' end as status,
       case when attached_policy_arns is null then 'The policies attached to ' || name || ' could not be read.'
            when array_length(attached_policy_arns) > 0
              then name || ' has managed policies attached directly: '
                   || regexp_replace(array_to_string(attached_policy_arns, ', '), 'arn:[^,]*/', '', 'g') || '.'
            else name || ' has no managed policy attached directly.' end as reason,
       account_id, region
from aws_iam_user
