-- Types of the current generation are always optimised, whatever the instance itself says.
select i.arn as resource,
       case when i.ebs_optimized or t.ebs_optimized_support = 'default' then 'ok'
            when t.ebs_optimized_support = 'unsupported' or i.ebs_optimized is null then 'skip'
            else 'alarm' end as status,
       case when t.ebs_optimized_support = 'default'
            then i.instance_id || ' is optimised for EBS by its type, ' || i.instance_type || '.'
            when i.ebs_optimized then i.instance_id || ' is optimised for EBS.'
            when t.ebs_optimized_support = 'unsupported'
            then i.instance_id || ' cannot be optimised for EBS: ' || i.instance_type || ' does not support it.'
            when i.ebs_optimized is null then 'Whether ' || i.instance_id || ' is optimised for EBS was not collected.'
            else i.instance_id || coalesce(' (' || i.instance_type || ')', '') || ' is not optimised for EBS.' end as reason,
       i.account_id, i.region
from aws_ec2_instance i
left join aws_ec2_instance_type t
  on t.account_id = i.account_id and t.region = i.region and t.instance_type = i.instance_type
where coalesce(i.instance_state, '') not in ('terminated', 'shutting-down')
