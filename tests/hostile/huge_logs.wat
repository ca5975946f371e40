;; Ten log lines of a megabyte each, in every level.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (data (i32.const 0) "a line without end ")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $count i32)
    (memory.fill (i32.const 19) (i32.const 0x41) (i32.const 1048576))
    (loop $again
      (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1048576)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 10))))
    (i32.const 0)))
