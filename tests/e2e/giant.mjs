// A Web-DINO of seven billion parameters, or its first blocks, as far as the headers: what no browser holds.

const [DIM, HIDDEN, DEPTH] = [4096, 10928, 32];

/** The `config.json` of one with so many blocks. */
export const config = (depth = DEPTH) => ({
  model_type: 'dinov2', hidden_size: DIM, num_hidden_layers: depth, num_attention_heads: 32, patch_size: 14, image_size: 224, mlp_ratio: 4,
  use_swiglu_ffn: true, hidden_act: 'gelu', layer_norm_eps: 1e-6, num_channels: 3, qkv_bias: true,
});

function shapes(depth) {
  const all = {
    'embeddings.cls_token': [1, 1, DIM], 'embeddings.mask_token': [1, DIM], 'embeddings.position_embeddings': [1, 257, DIM],
    'embeddings.patch_embeddings.projection.weight': [DIM, 3, 14, 14], 'embeddings.patch_embeddings.projection.bias': [DIM],
    'layernorm.weight': [DIM], 'layernorm.bias': [DIM],
  };
  for (let block = 0; block < depth; block += 1) {
    const put = (name, ...shape) => { all[`encoder.layer.${block}.${name}`] = shape; };
    for (const norm of ['norm1', 'norm2']) { put(`${norm}.weight`, DIM); put(`${norm}.bias`, DIM); }
    for (const part of ['attention.query', 'attention.key', 'attention.value', 'output.dense']) {
      put(`attention.${part}.weight`, DIM, DIM);
      put(`attention.${part}.bias`, DIM);
    }
    put('layer_scale1.lambda1', DIM);
    put('layer_scale2.lambda1', DIM);
    put('mlp.weights_in.weight', 2 * HIDDEN, DIM);
    put('mlp.weights_in.bias', 2 * HIDDEN);
    put('mlp.weights_out.weight', DIM, HIDDEN);
    put('mlp.weights_out.bias', DIM);
  }
  return Object.entries(all);
}

/** A safetensors file of these tensors: `header`, what comes before the weights, and `bytes`, its whole length. */
function beginning(tensors) {
  let end = 0;
  const header = {};
  for (const [name, shape] of tensors) {
    const begin = end;
    end += 4 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return { header: Buffer.concat([length, text]), bytes: 8 + text.length + end };
}

/** The model in one file. */
export const whole = (depth = DEPTH) => beginning(shapes(depth));

/** The model in `count` files: their names with what `whole` gives, and the text of the index. */
export function shards(count, depth = DEPTH) {
  const all = shapes(depth);
  const part = Math.ceil(all.length / count);
  const map = {};
  const files = Array.from({ length: count }, (_, index) => {
    const tensors = all.slice(index * part, (index + 1) * part);
    const name = `model-0000${index + 1}-of-0000${count}.safetensors`;
    for (const [tensor] of tensors) map[tensor] = name;
    return { name, ...beginning(tensors) };
  });
  return { files, index: JSON.stringify({ metadata: {}, weight_map: map }) };
}
