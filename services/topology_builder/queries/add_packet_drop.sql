-- Note packets that a kernel dropped outside any observed connection.
insert into packet_drops (start, node, reason, packets)
values ($1, $2, $3, $4)
