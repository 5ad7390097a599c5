"""moto, with filters that AWS has and moto lacks: it answers them with a crash, or with everything."""

from moto.ec2.models.network_acls import NetworkAcl
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.models.vpn_connections import VPNConnection
from moto.ec2.responses.vpc_peering_connections import DESCRIBE_VPC_PEERING_CONNECTIONS_RESPONSE, VPCPeeringConnections
from moto.server import main

own_id = property(lambda resource: resource.id)
NetworkAcl.network_acl_id = own_id
VPCEndPoint.vpc_endpoint_id = own_id
VPNConnection.vpn_connection_id = own_id


def describe_vpc_peering_connections(self):
    wanted = self._filters_from_querystring().get("vpc-peering-connection-id")
    listed = self.ec2_backend.describe_vpc_peering_connections(vpc_peering_ids=self._get_multi_param("VpcPeeringConnectionId"))
    found = [peering for peering in listed if wanted is None or peering.id in wanted]
    return self.response_template(DESCRIBE_VPC_PEERING_CONNECTIONS_RESPONSE).render(vpc_pcxs=found)


VPCPeeringConnections.describe_vpc_peering_connections = describe_vpc_peering_connections

if __name__ == "__main__":
    main()
