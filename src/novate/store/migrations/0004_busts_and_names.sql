-- Version 4: trades that the venue has given up, as the journal says (what the chain refused is in
-- "outcomes", and may be tried again); the ids that accounts give their orders.

create table "busts" (
  "sequence" bigint not null,
  "record" bigint not null,
  "code" bigint not null,
  "given_up_ms" bigint not null,
  primary key ("sequence")
);

alter table "orders" add column "client_order_id" text not null default '';
