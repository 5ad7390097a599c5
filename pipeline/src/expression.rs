//! SQL expressions over rows: planned once per schema, evaluated per batch.
