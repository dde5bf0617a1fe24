"""
Runs Cassandra out of a folder with its jars, which CASSANDRA_LIB names: Maven's `cassandra-all` and what it needs.
"""

from __future__ import annotations

import os
from pathlib import Path

CONFIGURATION = """
cluster_name: lab
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_segment_size: 2MiB
endpoint_snitch: SimpleSnitch
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
start_native_transport: true
native_transport_port: {port}
storage_port: {storage}
data_file_directories: ["{folder}/data"]
commitlog_directory: "{folder}/commitlog"
saved_caches_directory: "{folder}/saved"
hints_directory: "{folder}/hints"
cdc_raw_directory: "{folder}/cdc"
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "127.0.0.1:{storage}"}}]
"""
LOGGING = """<configuration><root level="ERROR"/></configuration>"""
EXPORTS = (
    "java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/jdk.internal.perf java.base/sun.nio.ch "
    "java.base/jdk.internal.util java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry "
    "java.rmi/sun.rmi.server java.sql/java.sql java.base/java.lang.ref java.base/java.lang.reflect "
    "jdk.attach/sun.tools.attach jdk.internal.jvmstat/sun.jvmstat.monitor"
)
OPENS = (
    "java.base/jdk.internal.module java.base/jdk.internal.loader java.base/jdk.internal.reflect java.base/java.nio "
    "java.base/jdk.internal.math java.base/jdk.internal.ref java.base/jdk.internal.util java.base/sun.nio.ch "
    "java.base/jdk.internal.util.jar jdk.management/com.sun.management.internal java.base/java.io java.base/java.lang "
    "java.base/java.lang.reflect java.base/java.util java.base/java.util.concurrent java.base/jdk.internal.misc "
    "java.base/java.util.concurrent.atomic java.rmi/sun.rmi.transport.tcp"
)
PROPERTIES = (
    "cassandra-foreground=yes cassandra.skip_wait_for_gossip_to_settle=0 cassandra.ring_delay_ms=1 "
    "cassandra.superuser_setup_delay_ms=0 cassandra.load_ring_state=false jdk.attach.allowAttachSelf=true"
)


def jars() -> str | None:
    """
    Return the folder with the jars, None when there is none.
    """
    folder = os.environ.get("CASSANDRA_LIB", "")
    return folder if any(Path(folder or "/nonexistent").glob("cassandra-all-*.jar")) else None


def command(folder: Path, port: int, storage: int) -> list[str]:
    """
    Write the configuration into *folder*, and return the command that runs the server.
    """
    configuration = folder / "cassandra.yaml"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, storage=storage))
    (folder / "logback.xml").write_text(LOGGING)
    words = ["java", "-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    for package in EXPORTS.split():
        words += ["--add-exports", f"{package}=ALL-UNNAMED"]
    for package in OPENS.split():
        words += ["--add-opens", f"{package}=ALL-UNNAMED"]
    words += [f"-D{one}" for one in PROPERTIES.split()]
    words += [f"-Dcassandra.config=file://{configuration}", f"-Dlogback.configurationFile={folder}/logback.xml"]
    words += [f"-Dcassandra.storagedir={folder}", f"-Djava.io.tmpdir={folder}"]
    return [*words, "-cp", f"{jars()}/*", "org.apache.cassandra.service.CassandraDaemon"]
