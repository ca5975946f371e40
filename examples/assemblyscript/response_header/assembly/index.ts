// Adds the response header X-Woven-By; its value is the plugin's configuration.

// The exports that the host calls: the allocator, the ABI marker and every callback.
export * from "@gcoredev/proxy-wasm-sdk-as/assembly/proxy";
import {
  Context,
  FilterHeadersStatusValues,
  RootContext,
  log,
  LogLevelValues,
  registerRootContext,
  stream_context,
} from "@gcoredev/proxy-wasm-sdk-as/assembly";

class ResponseHeaderRoot extends RootContext {
  onConfigure(configuration_size: u32): bool {
    if (configuration_size == 0) {
      log(LogLevelValues.error, "response_header: config: must be the header's value");
      return false;
    }
    return super.onConfigure(configuration_size);
  }

  createContext(context_id: u32): Context {
    return new ResponseHeader(context_id, this);
  }
}

class ResponseHeader extends Context {
  constructor(context_id: u32, root: ResponseHeaderRoot) {
    super(context_id, root);
  }

  onResponseHeaders(count: u32, end_of_stream: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add("X-Woven-By", this.root_context.getConfiguration());
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext(
  (context_id: u32): RootContext => new ResponseHeaderRoot(context_id),
  "response_header",
);
