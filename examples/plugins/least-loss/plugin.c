/* How good a space is: a study names it as `scorer` in [evolve]. */
#include <stdlib.h>

#include "scorer_plugin.h"

typedef exports_spacewright_plugin_scorer_cell_t cell_t;

/* What is kept between questions. */
static exports_spacewright_plugin_scorer_problem_t problem;
static bool prepared;

static const cell_t *find(uint32_t stage, uint32_t block, uint32_t window) {
    for (size_t at = 0; at < problem.cells.len; at++) {
        const cell_t *cell = &problem.cells.ptr[at];
        if (cell->stage == stage && cell->block == block && cell->window == window) return cell;
    }
    return NULL;
}

/* What a stage loses within a latency limit. */
static double stage_loss(const cell_t *cell, double limit_ms) {
    /* No stage alone may use up the limit. */
    double best = 1e5;
    for (size_t row = 0; row < cell->loss.len; row++) {
        double loss = cell->loss.ptr[row];
        if (cell->latency_ms.ptr[row] <= limit_ms && loss < best) best = loss;
    }
    return best;
}

bool exports_spacewright_plugin_scorer_score(exports_spacewright_plugin_scorer_spaces_t *spaces,
                                             uint64_t seed,
                                             exports_spacewright_plugin_scorer_scores_t *ret,
                                             scorer_plugin_string_t *err) {
    (void)seed;
    size_t stages = spaces->stages, limits = problem.constraints_ms.len;
    size_t count = stages ? spaces->blocks.len / stages : 0;
    ret->score.len = count;
    ret->score.ptr = calloc(count, sizeof(double));
    scorer_plugin_list_f64_t *parts[] = {&ret->feasible, &ret->loss, &ret->penalty, &ret->part};
    for (size_t part = 0; part < 4; part++) {
        parts[part]->len = count * limits;
        parts[part]->ptr = calloc(count * limits, sizeof(double));
    }
    bool known = true;
    for (size_t space = 0; space < count && known; space++) {
        for (size_t limit = 0; limit < limits && known; limit++) {
            double loss = 0;
            for (size_t stage = 0; stage < stages && known; stage++) {
                size_t at = space * stages + stage;
                const cell_t *cell =
                    find((uint32_t)stage, spaces->blocks.ptr[at], spaces->windows.ptr[at]);
                known = cell != NULL;
                if (known) loss += stage_loss(cell, problem.constraints_ms.ptr[limit]);
            }
            size_t at = space * limits + limit;
            ret->feasible.ptr[at] = ret->penalty.ptr[at] = 1;
            ret->loss.ptr[at] = loss;
            ret->part.ptr[at] = 1 / loss;
            ret->score.ptr[space] += 1 / loss;
        }
    }
    exports_spacewright_plugin_scorer_spaces_free(spaces);
    if (known) return true;
    exports_spacewright_plugin_scorer_scores_free(ret);
    scorer_plugin_string_dup(err, "a stage of the space has no table");
    return false;
}

bool exports_spacewright_plugin_scorer_prepare(exports_spacewright_plugin_scorer_problem_t *given,
                                               scorer_plugin_string_t *options,
                                               scorer_plugin_string_t *err) {
    (void)err;
    scorer_plugin_string_free(options);
    if (prepared) exports_spacewright_plugin_scorer_problem_free(&problem);
    problem = *given;
    prepared = true;
    return true;
}

void exports_spacewright_plugin_about_describe(exports_spacewright_plugin_about_plugin_t *ret) {
    scorer_plugin_string_dup(&ret->name, "least-loss");
    scorer_plugin_string_dup(&ret->version, "0.1.0");
    scorer_plugin_string_dup(&ret->summary, "The best row of each stage, summed");
}

void exports_spacewright_plugin_scorer_name(scorer_plugin_string_t *ret) {
    scorer_plugin_string_dup(ret, "least-loss");
}
