"""The services that every gRPC server may have: what there is to call (reflection), and whether it can be called (health).

Reflection lets tools such as grpcurl work without the .proto file. Health is known as a whole and for each service of ours,
and NOT_SERVING from the moment the mount begins to end.
"""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from musicfs.api.generated import musicfs_pb2 as pb

_SERVICES = tuple(service.full_name for service in pb.DESCRIPTOR.services_by_name.values())
# Version 1 differs from v1alpha in its name only: https://github.com/grpc/grpc-proto, grpc/reflection.
_REFLECTION_NAMES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)


class Introspection:
    """Both services, for any number of servers."""

    def __init__(self) -> None:
        self._health = health.HealthServicer()
        self._reflection = reflection.ReflectionServicer((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME))
        for name in (health.OVERALL_HEALTH, *_SERVICES):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def handlers(self) -> list[grpc.GenericRpcHandler[Any, Any]]:
        """What a server needs to answer them."""
        check = grpc.unary_unary_rpc_method_handler(
            self._health.Check,
            request_deserializer=health_pb2.HealthCheckRequest.FromString,
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        )
        watch = grpc.unary_stream_rpc_method_handler(
            self._health.Watch,
            request_deserializer=health_pb2.HealthCheckRequest.FromString,
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        )
        info = grpc.stream_stream_rpc_method_handler(
            self._reflection.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        return [
            grpc.method_handlers_generic_handler(health.SERVICE_NAME, {"Check": check, "Watch": watch}),
            *(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": info}) for name in _REFLECTION_NAMES),
        ]

    def note_shutdown(self) -> None:
        """From now on nothing is serving. Idempotent."""
        self._health.enter_graceful_shutdown()
