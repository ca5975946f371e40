;; Grows its table, in large steps and then in small ones, until it is refused.
(module
  (memory (export "memory") 1)
  (table $t 1 funcref)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func $grow (param $step i32)
    (loop $again
      (br_if $again (i32.ne (table.grow $t (ref.null func) (local.get $step)) (i32.const -1)))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $grow (i32.const 1000000))
    (call $grow (i32.const 10000))
    (call $grow (i32.const 1))
    (i32.const 0)))
