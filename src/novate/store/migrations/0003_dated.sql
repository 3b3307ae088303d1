-- Version 3: what options and dated futures were, by when they were listed.

create table "dated" (
  "block" bigint not null,
  "position" bigint not null,
  "part" bigint not null,
  "timestamp" bigint not null,
  "instrument" bigint not null,
  "expiry" bigint not null,
  "feed" bigint not null,
  "strike" varchar(79) not null,
  "lot_size" varchar(79) not null,
  "name" text not null,
  primary key ("block", "position", "part")
);

create index "dated_by_name" on "dated" ("name");
create index "dated_of_instrument" on "dated" ("instrument", "block");
