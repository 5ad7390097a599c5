select 'arn:' || partition || ':iam::' || account_id || ':root' as resource,
       case when account_access_keys_present is null then 'skip'
            when account_access_keys_present > 0 then 'alarm'
            else 'ok' end as status,
       case when account_access_keys_present is null
              then 'Whether the root user of account ' || account_id || ' has access keys was not reported.'
            when account_access_keys_present > 0 then 'The root user of account ' || account_id || ' has an access key.'
            else 'The root user of account ' || account_id || ' has no access key.' end as reason,
       account_id, region
from aws_iam_account_summary
