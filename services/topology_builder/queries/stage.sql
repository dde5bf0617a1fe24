-- Where the rows of a window arrive by binary copy, before they are added.
create temporary table if not exists staged_service_figures (like service_figures) on commit delete rows;
create temporary table if not exists staged_instance_figures (like instance_figures) on commit delete rows;
create temporary table if not exists staged_endpoint_figures (like endpoint_figures) on commit delete rows;
create temporary table if not exists staged_relation_figures (like relation_figures) on commit delete rows
