/* Hardware that Spacewright designs networks for. */
#include <stdlib.h>

#include "target_plugin.h"

/* Fill in: how many milliseconds the hardware needs for graph number `graph` of the batch, whose
   nodes are those from `first` up to `end`. */
static double milliseconds(const exports_spacewright_plugin_latency_source_graphs_t *batch,
                           size_t graph, size_t first, size_t end) {
    const double overhead_ms = 0.001;
    double macs_per_ms = batch->precision.ptr[graph] ? 4e7 : 1e7;
    double ms = overhead_ms;
    for (size_t node = first; node < end; node++) {
        ms += overhead_ms + (double)batch->macs.ptr[node] / macs_per_ms;
    }
    return ms;
}

bool exports_spacewright_plugin_latency_source_latencies_of(
    exports_spacewright_plugin_latency_source_graphs_t *batch,
    exports_spacewright_plugin_latency_source_latencies_t *ret, target_plugin_string_t *err) {
    (void)err;
    size_t graphs = batch->first_node.len;
    ret->ms.len = ret->spread_ms.len = ret->runs.len = graphs;
    ret->low_ms.len = ret->high_ms.len = graphs;
    ret->ms.ptr = calloc(graphs, sizeof *ret->ms.ptr);
    ret->spread_ms.ptr = calloc(graphs, sizeof *ret->spread_ms.ptr);
    ret->runs.ptr = calloc(graphs, sizeof *ret->runs.ptr);
    ret->low_ms.ptr = calloc(graphs, sizeof *ret->low_ms.ptr);
    ret->high_ms.ptr = calloc(graphs, sizeof *ret->high_ms.ptr);
    for (size_t graph = 0; graph < graphs; graph++) {
        size_t first = batch->first_node.ptr[graph];
        size_t end = graph + 1 < graphs ? batch->first_node.ptr[graph + 1] : batch->macs.len;
        ret->ms.ptr[graph] = milliseconds(batch, graph, first, end);
    }
    exports_spacewright_plugin_latency_source_graphs_free(batch);
    return true;
}

static void text(target_plugin_string_t *to, const char *from) { target_plugin_string_dup(to, from); }

void exports_spacewright_plugin_target_describe(exports_spacewright_plugin_target_description_t *ret) {
    text(&ret->name, "{{name}}");
    text(&ret->summary, "{{summary}}");
    text(&ret->scheme.name, "{{name}}-7bit");
    text(&ret->scheme.dense_weights, "bits7");
    text(&ret->scheme.depthwise_weights, "bits8");
    /* A ReLU or ReLU6 disappears into what is before it; Swish is computed from Sigmoid and Mul. */
    static const char *const before[] = {"conv2d", "linear", "add"};
    static const char *const after[] = {"relu", "relu6"};
    ret->scheme.fused.len = 6;
    ret->scheme.fused.ptr = calloc(6, sizeof *ret->scheme.fused.ptr);
    for (size_t pair = 0; pair < 6; pair++) {
        text(&ret->scheme.fused.ptr[pair].f0, before[pair / 2]);
        text(&ret->scheme.fused.ptr[pair].f1, after[pair % 2]);
    }
    ret->scheme.decomposed.len = 1;
    ret->scheme.decomposed.ptr = calloc(1, sizeof *ret->scheme.decomposed.ptr);
    text(ret->scheme.decomposed.ptr, "swish");
    text(&ret->model_format, "onnx");
    /* Kernels are found after the scheme; nothing is known of errors. */
    ret->fusion.is_some = false;
    ret->errors.len = 0;
    ret->errors.ptr = NULL;
    text(&ret->latency, "modelled");
    ret->unsupported.len = 0;
    ret->unsupported.ptr = NULL;
}

void exports_spacewright_plugin_about_describe(exports_spacewright_plugin_about_plugin_t *ret) {
    text(&ret->name, "{{name}}");
    text(&ret->version, "0.1.0");
    text(&ret->summary, "{{summary}}");
}

void exports_spacewright_plugin_latency_source_name(target_plugin_string_t *ret) {
    text(ret, "{{name}}");
}

/* Change it with the model: answers under different fingerprints are never mixed. */
void exports_spacewright_plugin_latency_source_fingerprint(target_plugin_string_t *ret) {
    text(ret, "{{name}} model 1");
}

void exports_spacewright_plugin_latency_source_precisions(target_plugin_list_string_t *ret) {
    ret->len = 2;
    ret->ptr = calloc(2, sizeof *ret->ptr);
    text(&ret->ptr[0], "fp32");
    text(&ret->ptr[1], "int8");
}
