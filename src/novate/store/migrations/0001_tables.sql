-- Version 1: the tables of the read side (what the columns mean: schema.py). One statement ends with each semicolon.

create table "identity" (
  "name" text not null,
  "value" text not null,
  primary key ("name")
);

create table "progress" (
  "source" text not null,
  "position" bigint not null,
  "hash" text not null,
  primary key ("source")
);

create table "instruments" (
  "instrument" bigint not null,
  "block" bigint not null,
  "kind" bigint not null,
  "underlying" bigint not null,
  "feed" bigint not null,
  "lot_size" varchar(79) not null,
  "tick" varchar(79) not null,
  "name" text not null,
  primary key ("instrument")
);

create table "tokens" (
  "token" text not null,
  "block" bigint not null,
  "instrument" bigint not null,
  "decimals" bigint not null,
  "name" text not null,
  primary key ("token")
);

create table "orders" (
  "digest" text not null,
  "record" bigint not null,
  "instrument" bigint not null,
  "lots" bigint not null,
  "revision" bigint not null,
  "expiry" bigint not null,
  "flags" bigint not null,
  "fill_or_kill" bigint not null,
  "waiting" bigint not null,
  "placed_ms" bigint not null,
  "changed_ms" bigint not null,
  "lots_filled" bigint not null,
  "code" bigint not null,
  "nonce" varchar(79) not null,
  "price" varchar(79) not null,
  "max_fee" varchar(79) not null,
  "notional" varchar(79) not null,
  "fees" varchar(79) not null,
  "account" text not null,
  "signer" text not null,
  "executor" text not null,
  "self_trade" text not null,
  "label" text not null,
  "state" text not null,
  primary key ("digest")
);

create table "order_events" (
  "record" bigint not null,
  "part" bigint not null,
  "timestamp_ms" bigint not null,
  "lots" bigint not null,
  "code" bigint not null,
  "sequence" bigint,
  "price" varchar(79),
  "digest" text not null,
  "account" text not null,
  "event" text not null,
  primary key ("record", "part")
);

create table "trades" (
  "sequence" bigint not null,
  "record" bigint not null,
  "timestamp_ms" bigint not null,
  "instrument" bigint not null,
  "trade_seq" bigint not null,
  "tick_direction" bigint not null,
  "taker_buys" bigint not null,
  "lots" bigint not null,
  "matched_at" bigint not null,
  "oracle_round" bigint not null,
  "batch" bigint,
  "price" varchar(79) not null,
  "fee_maker" varchar(79) not null,
  "fee_taker" varchar(79) not null,
  "maker" text not null,
  "taker" text not null,
  "maker_account" text not null,
  "taker_account" text not null,
  "receipt" text not null,
  primary key ("sequence")
);

create table "candles" (
  "resolution_s" bigint not null,
  "instrument" bigint not null,
  "start_ms" bigint not null,
  "lots" bigint not null,
  "trades" bigint not null,
  "open" varchar(79) not null,
  "high" varchar(79) not null,
  "low" varchar(79) not null,
  "close" varchar(79) not null,
  "notional" varchar(79) not null,
  primary key ("resolution_s", "instrument", "start_ms")
);

create table "batches" (
  "first_sequence" bigint not null,
  "record" bigint not null,
  "size" bigint not null,
  "oracle_round" bigint not null,
  "judged_at" bigint not null,
  "closed_ms" bigint not null,
  primary key ("first_sequence")
);

create table "submissions" (
  "record" bigint not null,
  "first_sequence" bigint not null,
  "size" bigint not null,
  "oracle_round" bigint not null,
  "submitted_ms" bigint not null,
  "transaction" text not null,
  primary key ("record")
);

create table "rounds" (
  "round" bigint not null,
  "feed" bigint not null,
  "record" bigint not null,
  "timestamp" bigint not null,
  "index_price" bigint not null,
  "mark_price" bigint not null,
  "confidence_ppm" bigint not null,
  "signatures" bigint not null,
  primary key ("round", "feed")
);

create table "blocks" (
  "block" bigint not null,
  "timestamp" bigint not null,
  "hash" text not null,
  primary key ("block")
);

create table "transactions" (
  "block" bigint not null,
  "position" bigint not null,
  "timestamp" bigint not null,
  "succeeded" bigint not null,
  "gas_used" bigint not null,
  "transaction" text not null,
  "sender" text not null,
  "contract" text not null,
  "function" text not null,
  "raw" text not null,
  primary key ("block", "position")
);

create table "outcomes" (
  "block" bigint not null,
  "position" bigint not null,
  "part" bigint not null,
  "sequence" bigint,
  "settled" bigint not null,
  "ours" bigint not null,
  "code" bigint not null,
  "instrument" bigint,
  "lots" bigint,
  "price" varchar(79),
  "executor" text not null,
  "maker" text,
  "taker" text,
  "transaction" text not null,
  primary key ("block", "position", "part")
);

create table "settled_batches" (
  "block" bigint not null,
  "position" bigint not null,
  "part" bigint not null,
  "timestamp" bigint not null,
  "first_sequence" bigint,
  "size" bigint not null,
  "settled" bigint not null,
  "gas_used" bigint not null,
  "ours" bigint not null,
  "executor" text not null,
  "transaction" text not null,
  primary key ("block", "position", "part")
);

create table "custody_events" (
  "block" bigint not null,
  "position" bigint not null,
  "part" bigint not null,
  "timestamp" bigint not null,
  "eligible_at" bigint,
  "amount" varchar(79) not null,
  "event" text not null,
  "account" text not null,
  "token" text not null,
  "transaction" text not null,
  primary key ("block", "position", "part")
);

create table "auction_events" (
  "block" bigint not null,
  "position" bigint not null,
  "part" bigint not null,
  "timestamp" bigint not null,
  "fraction_ppm" bigint,
  "discount_ppm" bigint,
  "layer" bigint,
  "equity" varchar(79),
  "margin" varchar(79),
  "reward" varchar(79),
  "fee" varchar(79),
  "amount" varchar(79),
  "event" text not null,
  "account" text not null,
  "bidder" text,
  "transaction" text not null,
  primary key ("block", "position", "part")
);

create table "feed_prices" (
  "block" bigint not null,
  "position" bigint not null,
  "feed" bigint not null,
  "round" bigint not null,
  "timestamp" bigint not null,
  "index_price" bigint not null,
  "mark_price" bigint not null,
  "average" bigint not null,
  "confidence_ppm" bigint not null,
  primary key ("block", "position", "feed")
);

create table "funding" (
  "block" bigint not null,
  "position" bigint not null,
  "instrument" bigint not null,
  "timestamp" bigint not null,
  "rate_ppb" bigint not null,
  "open_interest" bigint not null,
  "index_price" bigint not null,
  "mark_price" bigint not null,
  "funding_index" varchar(79) not null,
  "longs_received" varchar(79) not null,
  primary key ("block", "position", "instrument")
);

create table "settlements" (
  "block" bigint not null,
  "position" bigint not null,
  "part" bigint not null,
  "timestamp" bigint not null,
  "instrument" bigint not null,
  "lots" bigint not null,
  "index_price" bigint not null,
  "mark_price" bigint not null,
  "funding" varchar(79) not null,
  "profit_loss" varchar(79) not null,
  "account" text not null,
  "transaction" text not null,
  primary key ("block", "position", "part")
);

create table "account_log" (
  "block" bigint not null,
  "position" bigint not null,
  "part" bigint not null,
  "timestamp" bigint not null,
  "instrument" bigint,
  "lots" bigint,
  "held" bigint,
  "sequence" bigint,
  "price" varchar(79),
  "commission" varchar(79) not null,
  "change" varchar(79) not null,
  "balance" varchar(79) not null,
  "account" text not null,
  "event" text not null,
  "transaction" text not null,
  primary key ("block", "position", "part")
);

create table "account_margins" (
  "block" bigint not null,
  "position" bigint not null,
  "part" bigint not null,
  "timestamp" bigint not null,
  "in_auction" bigint not null,
  "cash" varchar(79) not null,
  "equity" varchar(79) not null,
  "margin_initial" varchar(79) not null,
  "margin_maintenance" varchar(79) not null,
  "account" text not null,
  "transaction" text not null,
  primary key ("block", "position", "part")
);

create table "checkpoints" (
  "block" bigint not null,
  "position" bigint not null,
  "state" text not null,
  primary key ("block", "position")
);
